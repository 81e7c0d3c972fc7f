import { Refusal } from './answers.js';

/** What is asked for, by the path of a request (k8s.io/kubernetes, pkg/kubelet/server/server.go). */
export type Target =
  | { readonly kind: 'logs'; readonly namespace: string; readonly pod: string; readonly container: string }
  | {
      readonly kind: 'exec' | 'attach';
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string | undefined;
      readonly container: string;
    }
  | {
      readonly kind: 'portForward';
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string | undefined;
    }
  | { readonly kind: 'plain'; readonly path: string };

/** @throws {@link Refusal} 404 */
export function parsePath(path: string): Target {
  const [root = '', ...names] = path.split('/').slice(1).map(decode);
  const [namespace = '', pod = '', third = '', fourth] = names;
  const isAny = names.every((name) => name !== '');
  if (root === 'containerLogs' && names.length === 3 && isAny) {
    return { kind: 'logs', namespace, pod, container: third };
  }
  if ((root === 'exec' || root === 'attach') && isAny && (names.length === 3 || names.length === 4)) {
    const isWithUid = fourth !== undefined;
    return { kind: root, namespace, pod, uid: isWithUid ? third : undefined, container: fourth ?? third };
  }
  if (root === 'portForward' && isAny && (names.length === 2 || names.length === 3)) {
    return { kind: root, namespace, pod, uid: names[2] };
  }
  if (['containerLogs', 'exec', 'attach', 'portForward'].includes(root)) throw notFound();
  return { kind: 'plain', path };
}

/**
 * @throws {@link Refusal} 405
 */
export function checkMethod(target: Target, method: string): void {
  const allowed = target.kind === 'logs' || target.kind === 'plain' ? ['GET'] : ['GET', 'POST'];
  if (!allowed.includes(method))
    throw new Refusal(405, '405: Method Not Allowed', { Allow: allowed.join(', ') });
}

export function notFound(): Refusal {
  return new Refusal(404, '404 page not found');
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw notFound();
  }
}
