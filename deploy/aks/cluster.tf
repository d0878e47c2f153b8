resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.name}-cluster"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags
}

# For the public address, the route table and internal load balancers, which lie outside of the nodes' resource group.
resource "azurerm_role_assignment" "cluster_network" {
  scope                = azurerm_resource_group.this.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

# The nodes' own identity.
resource "azurerm_role_assignment" "image_pull" {
  count = var.container_registry_id == null ? 0 : 1

  scope                            = var.container_registry_id
  role_definition_name             = "AcrPull"
  principal_id                     = azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id
  skip_service_principal_aad_check = true # it is new, and may not be known everywhere yet
}

resource "azurerm_kubernetes_cluster" "this" {
  name                      = "${var.name}-aks"
  location                  = azurerm_resource_group.this.location
  resource_group_name       = azurerm_resource_group.this.name
  dns_prefix                = var.name
  kubernetes_version        = var.kubernetes_version
  automatic_upgrade_channel = "patch"
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  local_account_disabled    = true
  sku_tier                  = "Standard"
  tags                      = var.tags

  default_node_pool {
    name                        = "system"
    vm_size                     = var.node_size
    vnet_subnet_id              = azurerm_subnet.nodes.id
    zones                       = ["1", "2", "3"]
    auto_scaling_enabled        = true
    min_count                   = 3
    max_count                   = 6
    os_sku                      = "AzureLinux"
    temporary_name_for_rotation = "rotation"

    upgrade_settings {
      max_surge                = "33%"
      drain_timeout_in_minutes = 30 # sessions drain for up to ten minutes
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_policy      = "cilium"
    network_data_plane  = "cilium"
    load_balancer_sku   = "standard"
    outbound_type       = var.topology == "firewall" ? "userDefinedRouting" : "loadBalancer"
    pod_cidr            = "10.244.0.0/16"
    service_cidr        = "10.41.0.0/16"
    dns_service_ip      = "10.41.0.10"
  }

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = false
    admin_group_object_ids = var.cluster_admin_group_ids
  }

  dynamic "api_server_access_profile" {
    for_each = length(var.api_server_authorized_ranges) == 0 ? [] : [1]

    content {
      # With the firewall the nodes themselves come from its address; that of the load balancer AKS adds by itself.
      authorized_ip_ranges = concat(var.api_server_authorized_ranges, var.topology == "firewall" ? ["${azurerm_public_ip.sftp.ip_address}/32"] : [])
    }
  }

  # Nodes that cannot reach what the firewall's rules let through do not join.
  depends_on = [
    azurerm_role_assignment.cluster_network,
    azurerm_subnet_route_table_association.nodes,
    azurerm_firewall_policy_rule_collection_group.this,
  ]
}
