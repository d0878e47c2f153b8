/** What a connection by TLS is made of, beyond the system's trust. All PEM. `key` never appears in errors or logs. */
export interface TlsMaterial {
  /** Certificates to trust in place of the system's. */
  readonly ca?: string;
  /** The client's certificate, with its private key. */
  readonly cert?: string;
  readonly key?: string;
}
