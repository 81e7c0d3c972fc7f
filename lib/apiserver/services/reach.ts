import type { Backend } from '../backend.js';
import { StatusError } from '../status-error.js';

/** Does something at a backend, and tells it when it could not be reached. */
export async function reach<T>(backend: Backend, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof StatusError) || error.code >= 500) backend.onUnreachable?.();
    throw error;
  }
}
