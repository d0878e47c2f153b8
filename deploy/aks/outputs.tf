output "sftp_address" {
  description = "What partners connect to; for your DNS."
  value       = azurerm_public_ip.sftp.ip_address
}

output "get_credentials" {
  description = "Puts the cluster into your kubeconfig."
  value       = "az aks get-credentials --resource-group ${azurerm_resource_group.this.name} --name ${azurerm_kubernetes_cluster.this.name}"
}

output "database_grant" {
  description = "Run once as the Entra administrator: makes the managed identity a user of the database."
  value       = <<-SQL
    SET aad_auth_validate_oids_in_tenant = OFF;
    CREATE AADUSER 'skiff' IDENTIFIED BY '${azurerm_user_assigned_identity.skiff.client_id}';
    GRANT ALL PRIVILEGES ON skiff.* TO 'skiff'@'%';
  SQL
}

output "database_host" {
  description = "Name of the MySQL server, inside the network."
  value       = azurerm_mysql_flexible_server.this.fqdn
}

output "database_url" {
  description = "For the Secret that database.urlSecret names. It holds no password: pods log in by tokens, over TLS."
  value       = "mysql://skiff@${azurerm_mysql_flexible_server.this.fqdn}:3306/skiff?ssl-mode=VERIFY_IDENTITY"
}

output "helm_values" {
  description = "For helm install, beside charts/skiff/values-aks.yaml: terraform output -raw helm_values > values-here.yaml"
  value = yamlencode({
    identity = {
      clientId = azurerm_user_assigned_identity.skiff.client_id
      tenantId = data.azurerm_client_config.current.tenant_id
    }
    namespaces = { endpoints = distinct([for endpoint in var.endpoints : endpoint.namespace]) }
  })
}

output "endpoint_spec" {
  description = "The parts of an SftpEndpoint's spec that name these resources."
  value = yamlencode(merge({
    service = merge(local.service, {
      port = var.sftp_port
      annotations = var.topology == "firewall" ? {
        "service.beta.kubernetes.io/azure-load-balancer-internal" = "true"
        "service.beta.kubernetes.io/azure-load-balancer-ipv4"     = local.internal_address
        } : {
        "service.beta.kubernetes.io/azure-load-balancer-resource-group" = azurerm_resource_group.this.name
        "service.beta.kubernetes.io/azure-pip-name"                     = azurerm_public_ip.sftp.name
      }
    })
    storage = { azureBlob = { account = azurerm_storage_account.files.name, container = azurerm_storage_container.files.name } }
    events  = { serviceBus = { namespace = "${azurerm_servicebus_namespace.this.name}.servicebus.windows.net", queue = azurerm_servicebus_queue.events.name } }
  }, local.source_ranges))
}

locals {
  # Behind the firewall pods see its address, and take logins from nowhere else.
  service       = var.topology == "firewall" ? { clientAddress = "Rewritten" } : {}
  source_ranges = var.topology == "firewall" ? { allowedSourceRanges = azurerm_subnet.firewall[0].address_prefixes } : {}
}
