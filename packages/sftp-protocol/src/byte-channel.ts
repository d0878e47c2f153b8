/** The byte stream of one SFTP channel with the peer's flow control made explicit. Implemented over ssh2; faked in tests. */
export interface ByteChannel {
  /** Starts the flow. Bytes that came before are delivered now. */
  start(sink: ByteChannelSink): void;
  /** Queues bytes for the peer; they are copied once, into SSH packets, as its window and the socket allow. */
  send(parts: readonly Buffer[], sizeBytes: number): void;
  /** Bytes accepted by `send` that the peer's window or the socket has not taken. */
  readonly queuedBytes: number;
  /** Gives the peer that much window back. What is received and not given back stays bounded by the window. */
  credit(bytes: number): void;
  /** Sends what is queued, then exit-status 0 and close, as OpenSSH's `sftp` needs in order to exit. */
  finish(): void;
  /** Closes at once; what is queued is dropped. */
  abort(): void;
}

export interface ByteChannelSink {
  data(chunk: Buffer): void;
  /** The peer sends no more. */
  end(): void;
  /** Queued output has become less. */
  drained(): void;
  /** The channel is gone. Called once, last. */
  closed(): void;
}
