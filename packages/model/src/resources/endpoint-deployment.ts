import Type from 'typebox';
import { Cidr, LIST_SET, ObjectName, Port, StringMap } from './schema-parts.ts';

/** How an endpoint runs in a cluster. Standalone is one process and takes only the port of these. */
export const Replicas = Type.Integer({
  minimum: 1,
  maximum: 100,
  default: 2,
  description: 'SFTP server pods in a cluster, unless `autoscaling` is set.',
});

export const Autoscaling = Type.Object(
  {
    minReplicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 2, description: 'Fewest SFTP server pods.' })),
    maxReplicas: Type.Integer({ minimum: 1, maximum: 100, description: 'Most SFTP server pods. Not below `minReplicas`.' }),
    targetCpuUtilizationPercent: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, default: 70, description: "Average CPU use, in percent of the pods' requests, that pods are added above." }),
    ),
  },
  {
    additionalProperties: false,
    'x-kubernetes-validations': [
      {
        rule: '(has(self.minReplicas) ? self.minReplicas : 2) <= self.maxReplicas',
        message: 'maxReplicas must not be below minReplicas (2 when absent)',
      },
    ],
    description: 'Number of SFTP server pods by load, through a HorizontalPodAutoscaler; takes the place of `replicas`. Default: off.',
  },
);

export const EndpointService = Type.Object(
  {
    port: Type.Optional(Port({ default: 22, description: 'TCP port that partners connect to.' })),
    type: Type.Optional(
      Type.Enum(['LoadBalancer', 'NodePort', 'ClusterIP'], { default: 'LoadBalancer', description: 'Type of the Service in front of the pods.' }),
    ),
    externalTrafficPolicy: Type.Optional(
      Type.Enum(['Local', 'Cluster'], {
        default: 'Local',
        description:
          "Local keeps the client's address, which allow lists and logs need; Cluster spreads connections over nodes without pods too. Not for ClusterIP.",
      }),
    ),
    clientAddress: Type.Optional(
      Type.Enum(['Preserved', 'Rewritten'], {
        description:
          "Preserved: pods see the client's address, and judge allowedSourceRanges by it. Rewritten: a firewall in front puts its own in place (Azure Firewall's DNAT) and " +
          "admits sources itself; the endpoint's allowedSourceRanges, then required, names the firewall's addresses, from which alone pods take logins, and those of users " +
          'are not judged, but for an empty list. Default: Preserved.',
      }),
    ),
    loadBalancerSourceRanges: Type.Optional(
      Type.Array(Cidr, {
        maxItems: 1024,
        ...LIST_SET,
        description: 'CIDR ranges that the load balancer lets through. For LoadBalancer only. Default: every address.',
      }),
    ),
    annotations: Type.Optional(
      StringMap({ maxProperties: 64, description: 'Annotations of the Service, by which clouds are told of static and internal addresses.' }),
    ),
  },
  { additionalProperties: false, description: 'How partners reach the endpoint.' },
);

const UUID_PATTERN = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';

export const EndpointIdentity = Type.Object(
  {
    clientId: Type.Optional(
      Type.String({ pattern: UUID_PATTERN, description: "Client ID of the managed identity that the pods act as. Default: the installation's." }),
    ),
    tenantId: Type.Optional(Type.String({ pattern: UUID_PATTERN, description: "Tenant of that identity. Default: the installation's." })),
  },
  {
    additionalProperties: false,
    description:
      "Azure workload identity of the endpoint's pods. Its federated credential names the ServiceAccount `skiff-<endpoint>` of the endpoint's namespace.",
  },
);

export const Drain = Type.Object(
  {
    graceSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 86400, default: 600, description: 'Seconds that sessions may go on in a pod that is told to stop.' }),
    ),
  },
  { additionalProperties: false, description: 'How pods end in a cluster.' },
);

const SelectorRequirement = Type.Object(
  {
    key: Type.String({ minLength: 1, maxLength: 317, description: 'Label key.' }),
    operator: Type.Enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], { description: 'How the label relates to the values.' }),
    values: Type.Optional(Type.Array(Type.String({ maxLength: 63 }), { maxItems: 64, ...LIST_SET, description: 'Label values, for In and NotIn.' })),
  },
  { additionalProperties: false },
);

const NamespaceSelector = Type.Object(
  {
    matchLabels: Type.Optional(StringMap({ maxProperties: 64, description: 'Labels that the namespace has.' })),
    matchExpressions: Type.Optional(
      Type.Array(SelectorRequirement, { maxItems: 64, 'x-kubernetes-list-type': 'atomic', description: 'Further conditions; all must hold.' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Labels of admitted namespaces; needed for `from: Selector`. Each namespace has the label `kubernetes.io/metadata.name`.',
  },
);

export const AllowedUsers = Type.Object(
  {
    namespaces: Type.Optional(
      Type.Object(
        {
          from: Type.Optional(
            Type.Enum(['Same', 'All', 'Selector'], {
              default: 'Same',
              description: "Same: the endpoint's own namespace. All: every one. Selector: its own and those that `selector` matches.",
            }),
          ),
          selector: Type.Optional(NamespaceSelector),
        },
        {
          additionalProperties: false,
          'x-kubernetes-validations': [
            {
              rule: "(has(self.from) && self.from == 'Selector') == has(self.selector)",
              message: 'selector is required for from: Selector, and goes with nothing else',
            },
          ],
          description: 'Namespaces of admitted objects.',
        },
      ),
    ),
  },
  { additionalProperties: false, description: 'Which SftpUsers and EventRoutes may name this endpoint.' },
);

export const VolumeClaim = ObjectName(
  "PersistentVolumeClaim of the endpoint's namespace that is mounted at `path`. Required in a cluster; standalone ignores it.",
);
