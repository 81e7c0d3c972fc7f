import type { ClientRequest, IncomingMessage } from 'node:http';

/** One way to a pod. */
export interface Client {
  /** Gets `/` from the pod. */
  get(): Promise<void>;
  /** Starts `cat` in the container. */
  exec(): Promise<Cat>;
}

/** A `cat` that runs in a container. */
export interface Cat {
  /** Sends one byte and waits until it is back. */
  echo(): Promise<void>;
  close(): void;
}

/** Reads an answer to its end. */
export function read(request: ClientRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    request.on('error', reject).on('response', (answer: IncomingMessage) => {
      if (answer.statusCode !== 200) reject(new Error(`the answer is ${answer.statusCode}`));
      answer.on('error', reject).on('end', resolve).resume();
    });
    request.end();
  });
}
