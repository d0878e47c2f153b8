variable "subscription_id" {
  description = "Azure subscription."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
  default     = "skiff"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,11}$", var.name))
    error_message = "3 to 12 lower-case letters and digits, a letter first: storage accounts take nothing else."
  }
}

variable "location" {
  description = "Azure region with availability zones."
  type        = string
  default     = "westeurope"
}

variable "topology" {
  description = "loadBalancer: partners reach the cluster's public load balancer, filtered by a network security group, and pods see their addresses. firewall: an Azure Firewall in front rewrites source addresses, so that pods see the firewall's."
  type        = string
  default     = "loadBalancer"

  validation {
    condition     = contains(["loadBalancer", "firewall"], var.topology)
    error_message = "loadBalancer or firewall."
  }
}

variable "endpoints" {
  description = "SftpEndpoints, by namespace and name: each one's ServiceAccount becomes the managed identity."
  type        = set(object({ namespace = string, name = string }))
  default     = [{ namespace = "sftp", name = "partners" }]

  validation {
    condition     = alltrue([for endpoint in var.endpoints : can(regex("^[a-z0-9-]{1,38}$", endpoint.name))])
    error_message = "Names of up to 38 lower-case letters, digits and hyphens: the ServiceAccount of others is not called skiff-NAME."
  }

  validation {
    condition     = length(var.endpoints) <= 19
    error_message = "At most 19: a managed identity takes 20 federated credentials, and the operator's is one of them."
  }
}

variable "operator_namespace" {
  description = "Namespace of the chart's release."
  type        = string
  default     = "skiff-system"
}

variable "sftp_port" {
  description = "Port that partners connect to."
  type        = number
  default     = 22
}

variable "allowed_source_ranges" {
  description = "CIDR ranges that may reach the port, none within another; null: everybody; empty: nobody. source-ranges.sh writes the union of what the SftpUsers allow."
  type        = set(string)
  default     = null
}

variable "egress_hosts" {
  description = "Topology firewall: hosts that the nodes may reach over HTTPS beside Azure's own: registries of images, HTTP targets of routes."
  type        = set(string)
  default     = ["docker.io", "*.docker.io", "*.docker.com", "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com"]
}

variable "container_registry_id" {
  description = "Azure Container Registry that the nodes may pull from. null: none."
  type        = string
  default     = null
}

variable "cluster_admin_group_ids" {
  description = "Object ids of Entra groups that administer the cluster."
  type        = list(string)
}

variable "api_server_authorized_ranges" {
  description = "CIDR ranges that may reach the Kubernetes API; empty: everybody."
  type        = list(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Minor version, such as 1.34. null: AKS's default."
  type        = string
  default     = null
}

variable "node_size" {
  description = "Size of the nodes."
  type        = string
  default     = "Standard_D4ds_v5"
}

variable "database_sku" {
  description = "Size of the MySQL server."
  type        = string
  default     = "GP_Standard_D2ds_v4"
}

variable "database_admin_login" {
  description = "Name of the Entra user or group that administers the database."
  type        = string
}

variable "database_admin_object_id" {
  description = "Its object id."
  type        = string
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
