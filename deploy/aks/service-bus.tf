resource "azurerm_servicebus_namespace" "this" {
  name                = "${var.name}-${random_string.suffix.result}"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "Standard"
  local_auth_enabled  = false
  minimum_tls_version = "1.2"
  tags                = var.tags
}

resource "azurerm_servicebus_queue" "events" {
  name                                    = "file-events"
  namespace_id                            = azurerm_servicebus_namespace.this.id
  requires_duplicate_detection            = true # a relay that is not sure sends an event again under the same id
  duplicate_detection_history_time_window = "PT10M"
  lock_duration                           = "PT1M"
  max_delivery_count                      = 10
  dead_lettering_on_message_expiration    = true
  max_size_in_megabytes                   = 5120
}

resource "azurerm_role_assignment" "events" {
  for_each = toset(["Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"])

  scope                = azurerm_servicebus_queue.events.id
  role_definition_name = each.value
  principal_id         = azurerm_user_assigned_identity.skiff.principal_id
}
