import { tlsFiles, type TlsFiles, type TlsFilesOptions } from 'tunnel-dialer';
import { inNamesOf, named, type OptionNames } from './named.js';

type Paths = Pick<TlsFilesOptions, 'caFile' | 'certFile' | 'keyFile'>;

/**
 * Files that are read again when they change, which is said.
 *
 * @param names - on the command line, by the library's: `caFile` is `kubelet-ca`
 * @throws UsageError when one cannot be read or used
 */
export function watchedFiles(
  names: Readonly<Partial<Record<keyof Paths, string>>>,
  paths: Paths,
  say: (text: string) => void,
): TlsFiles {
  const full: OptionNames = Object.fromEntries(
    Object.entries(names).map(([option, name]) => [`tlsFiles().${option}`, name]),
  );
  const onChange: TlsFilesOptions['onChange'] = ({ name, failure }) =>
    say(
      failure === undefined
        ? `${name}: in use as they are now`
        : `${inNamesOf(full, failure.message)}; what was read before stays in use`,
    );
  return named(full, () => tlsFiles({ ...paths, onChange }));
}
