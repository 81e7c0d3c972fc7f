import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import { TLSSocket } from 'node:tls';
import { WebSocketServer, type WebSocket } from 'ws';

/** What came, as far as a test asks for it. */
export interface AskedOfCluster {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  /** Common name of the client's certificate. */
  readonly client: string | undefined;
}

/** The channels of exec, attach and port-forward over WebSocket (Kubernetes, `remotecommand` v4 and v5). */
const [STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE] = [0, 1, 2, 3, 4, 255];

/** Speaks as much of an API server as one pod needs: list, watch, log, exec, attach, port-forward. */
export class FakeCluster {
  readonly asked: AskedOfCluster[] = [];
  /** What is told to who watches, each as soon as it is there. */
  readonly #watchers = new Set<ServerResponse>();
  readonly #sockets = new WebSocketServer({
    noServer: true,
    // As the kubelet of today: v5 if it is offered, else what is.
    handleProtocols: (offered) => (offered.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : false),
  });

  readonly listener: RequestListener = (request, response) => this.#answer(request, response);

  /** Makes a server upgrade to WebSocket. */
  serveUpgrades(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      const { path, query } = this.#note(request);
      socket.on('error', () => undefined);
      this.#sockets.handleUpgrade(request, socket, head, (opened) => {
        opened.on('error', () => undefined);
        const kind = path.split('/').at(-1);
        if (kind === 'exec') exec(opened, query.getAll('command'));
        else if (kind === 'attach') attach(opened);
        else forward(opened, Number(query.get('ports')));
      });
    });
  }

  /** Tells everyone who watches or follows a log. */
  tell(line: string): void {
    for (const watcher of this.#watchers) watcher.write(`${line}\n`);
  }

  /** Ends every watch and every log. */
  end(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  #note(request: IncomingMessage): AskedOfCluster {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'https://api');
    const { authorization } = request.headers;
    const { socket } = request;
    const subject = socket instanceof TLSSocket ? socket.getPeerCertificate().subject : undefined;
    const client = (subject as { CN?: string } | undefined)?.CN;
    const asked = { method: request.method ?? '', path, query, authorization, client };
    this.asked.push(asked);
    return asked;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { path, query } = this.#note(request);
    if (path.endsWith('/log')) this.#log(response, query);
    else if (query.get('watch') === 'true') this.#keep(response, 200);
    else if (path === '/api/v1/namespaces/default/pods') {
      response.setHeader('content-type', 'application/json');
      const items = [{ metadata: { name: 'pod-1' } }];
      response.end(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items }));
    } else {
      const status = { kind: 'Status', code: 404, message: 'not found' };
      response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(status));
    }
  }

  #log(response: ServerResponse, query: URLSearchParams): void {
    response.write('the first line\n');
    if (query.get('follow') === 'true') this.#keep(response, 200);
    else response.end('the last line\n');
  }

  #keep(response: ServerResponse, status: number): void {
    if (!response.headersSent) response.writeHead(status).flushHeaders();
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
  }
}

function send(socket: WebSocket, channel: number | undefined, data: Buffer | string): void {
  socket.send(Buffer.concat([Buffer.from([channel ?? 0]), Buffer.from(data)]));
}

/** `cat` gives back what it is given until the end; any other command complains and ends with code 3. */
function exec(socket: WebSocket, [command]: readonly string[]): void {
  if (command !== 'cat') {
    send(socket, STDERR, 'no such command\n');
    const causes = [{ reason: 'ExitCode', message: '3' }];
    const status = { status: 'Failure', reason: 'NonZeroExitCode', details: { causes } };
    send(socket, STATUS, JSON.stringify(status));
    socket.close();
    return;
  }
  socket.on('message', (message: Buffer) => {
    const [channel, ended] = message;
    if (channel === STDIN) send(socket, STDOUT, message.subarray(1));
    else if (channel === CLOSE && ended === STDIN) {
      send(socket, STATUS, JSON.stringify({ status: 'Success' }));
      socket.close();
    }
  });
}

/** Greets, and says what it is told, resizes included. */
function attach(socket: WebSocket): void {
  send(socket, STDOUT, 'welcome\n');
  socket.on('message', (message: Buffer) => {
    const said = message.subarray(1).toString();
    if (message[0] === STDIN) send(socket, STDOUT, `you said ${said}`);
    if (message[0] === RESIZE) send(socket, STDOUT, `resized to ${said}\n`);
  });
}

/** Names the port first, as it must, and then gives back what it is given. */
function forward(socket: WebSocket, port: number): void {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(port);
  send(socket, 0, number);
  send(socket, 1, number);
  socket.on('message', (message: Buffer) => {
    if (message[0] === 0) send(socket, 0, message.subarray(1));
  });
}
