import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import { StatusError } from '../status-error.js';
import { answerHead, answerTrailers, type AnswerHead } from './answer-head.js';
import { unreachable, type BackendRequest } from './backend-request.js';
import type { ClientAnswer } from './client-answer.js';
import { valuesOf, type Field } from './fields.js';
import { edited, isReadableLink, linkEdit, type LinkRules } from './links.js';
import { pageBody, pageEncoding, pageHead } from './page.js';

interface DownloadOptions {
  readonly client: ClientAnswer;
  readonly asked: BackendRequest;
  readonly method: string | undefined;
  /** How links are changed; `undefined`: not at all. */
  readonly links: LinkRules | undefined;
}

/** A backend's answer on its way to the client. */
export class Download {
  readonly #options: DownloadOptions;
  #body: Readable | undefined;
  #isOver = false;

  constructor(options: DownloadOptions) {
    this.#options = options;
  }

  /** @throws StatusError when it is nothing that the client can be told; then the client has been told nothing */
  async begin(answer: IncomingMessage): Promise<void> {
    const { client, links, method } = this.#options;
    // Of what goes wrong before somebody listens to the body.
    answer.on('error', () => undefined);
    if (client.isGone) throw new Error('the client is gone');
    let head = answerHead(answer, links !== undefined);
    if (links !== undefined && valuesOf(head.fields, 'location').length > 0)
      head = { ...head, fields: head.fields.map((each) => located(each, links)) };
    const encoding = links === undefined ? undefined : pageEncoding(head);
    if (encoding !== undefined) head = pageHead(head);
    this.#tell(head);
    const hasBody = method !== 'HEAD' && head.status !== 204 && head.status !== 304;
    if (links === undefined || encoding === undefined || !hasBody) this.#carry(answer, answer);
    else this.#carry(await pageBody(answer, encoding, links), answer);
  }

  /** The client has taken what it was sent. */
  resume(): void {
    this.#body?.resume();
  }

  /** Nobody waits for it any more. */
  giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.asked.giveUp();
    this.#body?.destroy();
  }

  #tell(head: AnswerHead): void {
    try {
      this.#options.client.begin(head);
    } catch (error) {
      throw unreachable(`its answer cannot be passed on: ${messageOf(error)}`, error);
    }
  }

  #carry(body: Readable, answer: IncomingMessage): void {
    const { client } = this.#options;
    this.#body = body;
    body.on('data', (chunk: Buffer) => {
      if (!this.#isOver && !client.write(chunk)) body.pause();
    });
    body.once('end', () => this.#ended(answerTrailers(answer)));
    body.on('error', () => this.#brokeOff());
    body.once('close', () => this.#brokeOff());
    if (this.#isOver) body.destroy();
    else if (body.destroyed) this.#brokeOff();
  }

  #ended(trailers: readonly Field[]): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { client, asked } = this.#options;
    client.end(trailers);
    // A backend that has said all it has to say takes no more of what it was to be sent.
    if (!asked.isSent) asked.giveUp();
  }

  #brokeOff(): void {
    if (this.#isOver) return;
    this.giveUp();
    this.#options.client.cut();
  }
}

/** A `Location` that leads through the proxy. */
function located(each: Field, links: LinkRules): Field {
  if (each.key !== 'location') return each;
  const { value } = each;
  if (!isReadableLink(value)) {
    const problem = `Internal error occurred: failed to parse Location header: ${printable(value)}`;
    throw new StatusError(500, 'InternalError', problem);
  }
  const edit = linkEdit(value, links);
  return edit === undefined ? each : { ...each, value: edited(value, edit) };
}
