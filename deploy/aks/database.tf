resource "azurerm_private_dns_zone" "database" {
  name                = "${var.name}.private.mysql.database.azure.com"
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "database" {
  name                  = "${var.name}-database"
  resource_group_name   = azurerm_resource_group.this.name
  private_dns_zone_name = azurerm_private_dns_zone.database.name
  virtual_network_id    = azurerm_virtual_network.this.id
}

# Azure demands a password for the first administrator. It is thrown away, and aad_auth_only refuses it.
ephemeral "random_password" "database" {
  length = 32
}

# The server asks Entra about users and groups as this identity; an administrator must grant it Directory Readers, or
# User.Read.All, GroupMember.Read.All and Application.Read.All.
resource "azurerm_user_assigned_identity" "database" {
  name                = "${var.name}-database"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags
}

resource "azurerm_mysql_flexible_server" "this" {
  name                              = "${var.name}-${random_string.suffix.result}"
  location                          = azurerm_resource_group.this.location
  resource_group_name               = azurerm_resource_group.this.name
  version                           = "8.0.21" # Azure's name for the 8.0 line
  sku_name                          = var.database_sku
  zone                              = "1"
  administrator_login               = "firstadmin"
  administrator_password_wo         = ephemeral.random_password.database.result
  administrator_password_wo_version = 1
  delegated_subnet_id               = azurerm_subnet.database.id
  private_dns_zone_id               = azurerm_private_dns_zone.database.id
  public_network_access             = "Disabled"
  backup_retention_days             = 14
  tags                              = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.database.id]
  }

  storage {
    size_gb           = 64
    auto_grow_enabled = true
  }

  high_availability {
    mode                      = "ZoneRedundant"
    standby_availability_zone = "2"
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [zone, high_availability[0].standby_availability_zone] # a failover swaps them
  }

  depends_on = [azurerm_private_dns_zone_virtual_network_link.database]
}

resource "azurerm_mysql_flexible_server_active_directory_administrator" "this" {
  server_id   = azurerm_mysql_flexible_server.this.id
  identity_id = azurerm_user_assigned_identity.database.id
  login       = var.database_admin_login
  object_id   = var.database_admin_object_id
  tenant_id   = data.azurerm_client_config.current.tenant_id
}

resource "azurerm_mysql_flexible_server_configuration" "entra_only" {
  name                = "aad_auth_only"
  resource_group_name = azurerm_resource_group.this.name
  server_name         = azurerm_mysql_flexible_server.this.name
  value               = "ON"

  depends_on = [azurerm_mysql_flexible_server_active_directory_administrator.this]
}

resource "azurerm_mysql_flexible_database" "skiff" {
  name                = "skiff"
  resource_group_name = azurerm_resource_group.this.name
  server_name         = azurerm_mysql_flexible_server.this.name
  charset             = "utf8mb4"
  collation           = "utf8mb4_bin"
}
