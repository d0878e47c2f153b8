# Topology "firewall": everything in and out passes an Azure Firewall. DNAT rewrites the source of what comes in, so pods see
# the firewall's address: allowedSourceRanges of users cannot be judged by the pods, and the firewall filters by their union.
locals {
  firewall = var.topology == "firewall" ? 1 : 0
  # Of the internal load balancer; the last but one of the nodes' subnet, which AKS hands out from the start.
  internal_address = cidrhost(azurerm_subnet.nodes.address_prefixes[0], -3)
}

resource "azurerm_subnet" "firewall" {
  count = local.firewall

  name                 = "AzureFirewallSubnet" # the name is Azure's
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = ["10.40.17.0/26"]
}

resource "azurerm_ip_group" "partners" {
  count = local.firewall

  name                = "${var.name}-partners"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  cidrs               = local.partner_ranges
  tags                = var.tags
}

resource "azurerm_firewall_policy" "this" {
  count = local.firewall

  name                = "${var.name}-policy"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "Standard"
  tags                = var.tags
}

resource "azurerm_firewall_policy_rule_collection_group" "this" {
  count = local.firewall

  name               = "skiff"
  firewall_policy_id = azurerm_firewall_policy.this[0].id
  priority           = 500

  dynamic "nat_rule_collection" {
    for_each = local.somebody ? [1] : []

    content {
      name     = "partners"
      priority = 100
      action   = "Dnat"

      rule {
        name                = "sftp"
        protocols           = ["TCP"]
        source_addresses    = local.everybody ? ["*"] : null
        source_ip_groups    = local.everybody ? null : [azurerm_ip_group.partners[0].id]
        destination_address = azurerm_public_ip.sftp.ip_address
        destination_ports   = [tostring(var.sftp_port)]
        translated_address  = local.internal_address
        translated_port     = tostring(var.sftp_port)
      }
    }
  }

  network_rule_collection {
    name     = "azure"
    priority = 200
    action   = "Allow"

    rule {
      name                  = "service-bus"
      protocols             = ["TCP"]
      source_addresses      = azurerm_subnet.nodes.address_prefixes
      destination_addresses = ["ServiceBus.${var.location}"]
      destination_ports     = ["443", "5671"]
    }

    rule {
      name                  = "cluster"
      protocols             = ["UDP", "TCP"]
      source_addresses      = azurerm_subnet.nodes.address_prefixes
      destination_addresses = ["AzureCloud.${var.location}"]
      destination_ports     = ["1194", "9000", "443"]
    }
  }

  application_rule_collection {
    name     = "platform"
    priority = 300
    action   = "Allow"

    rule {
      name                  = "aks"
      source_addresses      = azurerm_subnet.nodes.address_prefixes
      destination_fqdn_tags = ["AzureKubernetesService"]

      protocols {
        type = "Https"
        port = 443
      }
    }

    rule {
      name              = "identity-images-and-targets"
      source_addresses  = azurerm_subnet.nodes.address_prefixes
      destination_fqdns = concat(["login.microsoftonline.com"], sort(var.egress_hosts))

      protocols {
        type = "Https"
        port = 443
      }
    }
  }
}

resource "azurerm_firewall" "this" {
  count = local.firewall

  name                = "${var.name}-firewall"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  sku_name            = "AZFW_VNet"
  sku_tier            = "Standard"
  firewall_policy_id  = azurerm_firewall_policy.this[0].id
  zones               = ["1", "2", "3"]
  tags                = var.tags

  ip_configuration {
    name                 = "sftp"
    subnet_id            = azurerm_subnet.firewall[0].id
    public_ip_address_id = azurerm_public_ip.sftp.id
  }
}

resource "azurerm_route_table" "nodes" {
  count = local.firewall

  name                = "${var.name}-nodes"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = var.tags

  route {
    name                   = "out"
    address_prefix         = "0.0.0.0/0"
    next_hop_type          = "VirtualAppliance"
    next_hop_in_ip_address = azurerm_firewall.this[0].ip_configuration[0].private_ip_address
  }
}

resource "azurerm_subnet_route_table_association" "nodes" {
  count = local.firewall

  subnet_id      = azurerm_subnet.nodes.id
  route_table_id = azurerm_route_table.nodes[0].id
}
