import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Registers a temporary directory for the tests of a suite; each test finds it empty. Returns the way to a
 * path in it.
 */
export function useTempDir(): (name: string) => string {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tunnel-dialer-test-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return (name) => join(directory, name);
}

/** Runs OpenSSH's ssh-keygen and returns what it prints. */
export function sshKeygen(...args: readonly string[]): string {
  return execFileSync('ssh-keygen', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A key pair made by ssh-keygen. */
export interface KeyFiles {
  readonly path: string;
  /** Text of the private key file. */
  readonly privateKey: string;
  /** `type base64`, without the comment. */
  readonly publicKey: string;
  /** As ssh-keygen -l shows it. */
  readonly fingerprint: string;
}

/** Makes a key pair at a path; further options are those of ssh-keygen(1). */
export function generateKeyFiles(
  path: string,
  type: string,
  passphrase = '',
  ...options: string[]
): KeyFiles {
  // One round of bcrypt, so that tests do not wait for it.
  sshKeygen('-q', '-t', type, '-N', passphrase, '-C', 'a comment', '-a', '1', '-f', path, ...options);
  return {
    path,
    privateKey: readFileSync(path, 'utf8'),
    publicKey: readFileSync(`${path}.pub`, 'utf8').split(' ', 2).join(' '),
    fingerprint: sshKeygen('-l', '-f', `${path}.pub`).split(' ')[1]!,
  };
}

/** The wire format of a public key line. */
export function blobOf(publicKey: string): Buffer {
  return Buffer.from(publicKey.split(' ')[1]!, 'base64');
}

/** Public keys for tests to which the keys themselves do not matter. */
export const SAMPLE_KEYS = {
  ed25519: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFgZFqoWazRTnHR29Kfap1PKC5ZhyaTJyQcQz7iIcRU/',
  otherEd25519: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFuG5Ou3TTTMwbdpBxp62adQ+s52v7MbKfm4jj9f3ArW',
  thirdEd25519: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC4tpxJ1AFjzgwNE5NZmWg6R/pO9fCOjtqcaf7zXQIDT',
  ecdsa256:
    'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMqFXzkhkmsfRPwcOYqlOeyj9y6dQOarj24lgs2GCeRrclYG5R6ugQ6URX61srmPRt0GdpDSGVZbZ0oiAzq4VhY=',
  ecdsa384:
    'ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBG+Xsp90yDy0sOW9mn0tUxTAE9Mq0DcOGyPGkKr7CfsdXjQ8ZNsXYL6ais7FykSukUe4419FUDkoByETsC97oVj0wWd7RuQgzbfUa2R4iLe00Vqd95LBtY/c1h6dJBe6bw==',
  ecdsa521:
    'ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAHkAX9iptIhcpNR7t7lOJjwh40vbro6MdqeoL5PKqEXs9+/YxRIB8CDHoLLf2zMrX+BLa/Bu24HE439Phy2ni0XdAFQrkFk6aghE98QauM7FrWnIKkpY2BE3TCefKzwA4l3WdMjyLMblA8mntH+HVr+Amx6TSh+d+JKZUTN34JkCbBCrA==',
  rsa: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDJ+B6DBZ2Ng885o18gSiY6UUo8bUZJoW6D1dGESvAgdxBkGwzQ4h/mMXP/7OdoEatTPZOAu7KX3iew1RfCRKE1oo1JilHU3DvlXXSX7un/4WMG1brlXeGx2pImisr9TKY16fTdIbT1z5f7C7zk5ma2W3RN+8e6Ue8kYF9nWzkNKBjiUF+d6WkciFxNANK60lgLxlawwESDq6G9iR3uzzrUPs/Cvpm+6ZbsVBiKKeSN1WH/med5dHilv/cbO1vgf1q0mm/9455eYKTfpsQ16vBeMfii5Mr8Tt9KJis4NrZjtpokMU539dlvcWqHgLaDdhL8MPXWA1TSMRaERjp+PLGb',
  dsa: 'ssh-dss AAAAB3NzaC1kc3MAAACBAO6GCBVUBkcyi2PuBuoW1kZovboKc1GnLpUeSM8IPuUwqRs5I9STnq2xipvIWxxrcN5iOkhqBKQYMAYMbRIwuwckKgcRyE3WtLfRHGs6mYHHSAcAZLOTRPYQT7W39w4bnwd7/Bsx5TpFE5Oal//1o4t5T24+msCz23bbs7stbcFvAAAAFQDRLPNtI75QctQJgbDnrz16BXX50QAAAIBjxrWT/CvQANkv+WrQXVikk2nzJoco9d6WwtC0ms3HX2xhfxWcqBSfwO/4A1B68FHrYjqtrbCALW2FaTghM2nveHxRQ2i2GcSxX/9E+RhA5rF4lWBTtQqC1v7FHIygM04vlTwQciY1SqGKGyHo645ethqrsc5ib+eb+ILRWvOY+AAAAIAWiXlWGXgfpneJCSCeLw90GXqptfEOl1c/ZDSMvvgudyKwZ/wMWlh2aBQXCK9GZm2QfCXZsoD+KTVNk0QyTy5cnXBpnfW7ZhfTFExrSOiFOTcjexGLV5hZSeVn0x3n50KaqSwjAtrwMK1aFv3TSR2E1FVnBpc2StZp/nmKeXdFNA==',
} as const;
