/** Tells the launcher over IPC, or whoever reads the output, that the emulator answers on these ports. */
export function announceReady(ready: Readonly<Record<string, unknown>>): void {
  if (process.send === undefined) console.log(JSON.stringify({ ready }));
  else process.send({ ready });
}

/** Runs `stop` on SIGTERM and SIGINT and ends the process. */
export function endOnSignal(stop: () => Promise<void>): void {
  const onSignal = (): void => {
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
}

/** Answers the launcher's questions. */
export function answerQuestions(answer: (question: unknown) => unknown): void {
  process.on('message', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('id' in message) || !('question' in message)) return;
    process.send?.({ id: message.id, answer: answer(message.question) });
  });
}
