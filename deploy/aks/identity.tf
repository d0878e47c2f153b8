# What the operator, the SFTP servers and the routers are in Azure. No secret exists for it: Kubernetes signs tokens of these
# service accounts, and Entra trusts the cluster's issuer for exactly them.
resource "azurerm_user_assigned_identity" "skiff" {
  name                = "${var.name}-workload"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags
}

locals {
  service_accounts = merge(
    { operator = "system:serviceaccount:${var.operator_namespace}:skiff" },
    # An underscore, which neither name can hold.
    { for endpoint in var.endpoints : "${endpoint.namespace}_${endpoint.name}" => "system:serviceaccount:${endpoint.namespace}:skiff-${endpoint.name}" },
  )
}

resource "azurerm_federated_identity_credential" "skiff" {
  for_each = local.service_accounts

  name                = each.key
  resource_group_name = azurerm_resource_group.this.name
  parent_id           = azurerm_user_assigned_identity.skiff.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject             = each.value
}
