import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Dialer } from '../../lib/dialer.js';
import type { DiagnosticsMessages } from '../../lib/diagnostics-events.js';
import type { Lab } from './dialer.js';

type Name = keyof DiagnosticsMessages;

const every: Record<Name, true> = {
  'tunnel-dialer:dial:start': true,
  'tunnel-dialer:dial:end': true,
  'tunnel-dialer:dial:error': true,
  'tunnel-dialer:connection:connecting': true,
  'tunnel-dialer:connection:ready': true,
  'tunnel-dialer:connection:failed': true,
  'tunnel-dialer:connection:lost': true,
  'tunnel-dialer:connection:closed': true,
};

/** The names of all events of the library. */
export const eventNames = Object.keys(every) as Name[];

/** What is published, until the lab ends. */
export class Listening {
  readonly #told: { readonly name: Name; readonly message: { readonly dialer: Dialer } }[] = [];

  constructor(lab: Lab, names: readonly Name[] = eventNames) {
    for (const name of names) {
      const note = (message: unknown): void =>
        void this.#told.push({ name, message: message as DiagnosticsMessages[Name] });
      subscribe(name, note);
      lab.onEnd(() => unsubscribe(name, note));
    }
  }

  /** The names of what was published for a dialer, in order, without their common beginning. */
  namesOf(dialer: Dialer): string[] {
    return this.#told
      .filter(({ message }) => message.dialer === dialer)
      .map(({ name }) => name.replace('tunnel-dialer:', ''));
  }

  /** The messages of one name. */
  messages<Wanted extends Name>(wanted: Wanted): DiagnosticsMessages[Wanted][] {
    return this.#told
      .filter(({ name }) => name === wanted)
      .map(({ message }) => message as DiagnosticsMessages[Wanted]);
  }
}
