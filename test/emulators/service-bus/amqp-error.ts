/** An error condition as it goes over the wire (Service Bus's AMQP error codes). */
export class AmqpFault extends Error {
  readonly condition: string;
  constructor(condition: string, description: string) {
    super(description);
    this.name = 'AmqpFault';
    this.condition = condition;
  }
  /** The fields of an AMQP `error`. */
  toWire(): { condition: string; description: string } {
    return { condition: this.condition, description: this.message };
  }
}

export function notFound(address: string): AmqpFault {
  return new AmqpFault('amqp:not-found', `The messaging entity '${address}' could not be found.`);
}

export function unauthorized(description: string): AmqpFault {
  return new AmqpFault('amqp:unauthorized-access', description);
}

export function lockLost(): AmqpFault {
  const reason = 'Either the lock expired, or the message has already been removed from the queue.';
  return new AmqpFault('com.microsoft:message-lock-lost', `The lock supplied is invalid. ${reason}`);
}
