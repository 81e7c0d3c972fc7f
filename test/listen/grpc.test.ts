import * as grpc from '@grpc/grpc-js';
import { expect } from 'chai';
import { join } from 'node:path';
import { listen } from '../../lib/listen/index.js';
import { Stage } from '../http/stage.js';
import { rejection } from '../support/dialer.js';
import { folder, use } from './clients.js';

const asIs = (bytes: Buffer): Buffer => bytes;
const method = (path: string, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const UNARY = method('/test.Echo/Unary', false);
const COUNT = method('/test.Echo/Count', true);
const FOREVER = method('/test.Echo/Forever', true);

describe('listen: @grpc/grpc-js', () => {
  let stage: Stage;
  let port: number;
  beforeEach(async () => {
    stage = await Stage.start();
    const server = new grpc.Server();
    server.addService(
      { unary: UNARY, count: COUNT, forever: FOREVER },
      {
        unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) =>
          done(null, Buffer.concat([Buffer.from('echo '), call.request])),
        count: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
          for (let at = 0; at < 100; at += 1) call.write(Buffer.from(String(at)));
          call.end();
        },
        forever: (call: grpc.ServerWritableStream<Buffer, Buffer>) => void call.write(Buffer.from('first')),
      },
    );
    port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    stage.onEnd(() => server.forceShutdown());
  });
  afterEach(() => stage.end());

  const targets: Record<string, () => Promise<string>> = {
    TCP: async () => {
      const { address } = await use(stage, listen(stage.recorder, { host: '127.0.0.1', port }));
      return `${address.host}:${address.port}`;
    },
    'a UNIX socket': async () => {
      const at = { path: join(folder(stage), 'grpc') };
      const { address } = await use(stage, listen(stage.recorder, { host: '127.0.0.1', port, at }));
      return `unix:${address.path}`;
    },
  };

  function unary(client: grpc.Client, text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(UNARY.path, asIs, asIs, Buffer.from(text), (error, answer) => {
        if (error === null) resolve(String(answer));
        else reject(error);
      });
    });
  }

  const stream = (client: grpc.Client, path: string): grpc.ClientReadableStream<Buffer> =>
    client.makeServerStreamRequest(path, asIs, asIs, Buffer.alloc(0));

  async function collect(calls: grpc.ClientReadableStream<Buffer>): Promise<string[]> {
    const messages: string[] = [];
    for await (const message of calls) messages.push(String(message));
    return messages;
  }

  for (const [transport, target] of Object.entries(targets)) {
    it(`makes calls, and reads streams, by ${transport}`, async () => {
      const client = new grpc.Client(await target(), grpc.credentials.createInsecure());
      stage.onEnd(() => client.close());
      expect(await unary(client, 'hello')).to.equal('echo hello');
      const counted = Array.from({ length: 100 }, (_, at) => String(at));
      expect(await collect(stream(client, COUNT.path))).to.deep.equal(counted);
      expect(stage.recorder.sockets).to.have.length(1);
    });

    it(`fails a stream whose node is lost, and makes the next call, by ${transport}`, async () => {
      const client = new grpc.Client(await target(), grpc.credentials.createInsecure());
      stage.onEnd(() => client.close());
      const forever = stream(client, FOREVER.path);
      const failed = rejection<grpc.ServiceError>(
        new Promise((resolve, reject) => {
          forever.on('data', () => stage.ssh.cut('rst'));
          forever.once('error', reject).once('end', resolve);
        }),
      );
      expect((await failed).code).to.equal(grpc.status.UNAVAILABLE);
      let answer: string | undefined;
      while (answer === undefined) answer = await unary(client, 'again').catch(() => undefined);
      expect(answer).to.equal('echo again');
    });
  }
});
