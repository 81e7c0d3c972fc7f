import type { ServerResponse } from 'node:http';
import { answerJson, answerText } from './answers.js';
import { notFound } from './paths.js';
import type { Pods } from './pods.js';

/** Answers what is no stream. @throws {@link Refusal} 404 */
export function answerPlain(path: string, _nodeName: string, _pods: Pods, response: ServerResponse): void {
  if (/^\/healthz(\/(ping|log|syncloop))?$/.test(path)) answerText(response, 'ok');
  else if (path === '/pods')
    answerJson(response, { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [] });
  else throw notFound();
}
