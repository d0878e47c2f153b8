terraform {
  required_version = ">= 1.11" # write-only arguments keep the database's password out of the state

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.30"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "azurerm" {
  features {}
  subscription_id     = var.subscription_id
  storage_use_azuread = true # the storage account has no shared keys
}

data "azurerm_client_config" "current" {}
