import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { messageOf, PerijoveError } from '../errors/error.js';
import { certificateFlaw, keyAndCertificates } from './certificate.js';
import type { Finding } from './checks.js';
import { tlsFiles, type ClusterSpec, type ProxyTlsFiles } from './spec.js';

type Files = Pick<ProxyTlsFiles, 'certificateFile' | 'keyFile'>;

/** What is wrong with the files for HTTPS on this machine. */
export interface FilesFlaw {
  readonly of: 'certificate' | 'key';
  readonly message: string;
  readonly remedy: string;
}

type Read = { readonly certificate: string; readonly key: string } | FilesFlaw;

/** Reads the files for HTTPS of this machine. Finds what keeps a server from using them at that time. */
export function readCertificateFiles({ certificateFile, keyFile }: Files, now: Date): Read {
  const texts = { certificate: '', key: '' };
  for (const [of, file] of [
    ['certificate', certificateFile],
    ['key', keyFile],
  ] as const) {
    try {
      texts[of] = readFileSync(file, 'utf8');
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const why = isMissing ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
      return {
        of,
        message: `${file} ${why}`,
        remedy: 'Name a file that can be read on this machine, and on each machine where workers run.',
      };
    }
  }
  const flaw = certificateFlaw(texts.certificate, texts.key, now);
  if (flaw === undefined) return texts;
  const file = flaw.of === 'key' ? keyFile : certificateFile;
  return { of: flaw.of, message: `${file} ${flaw.why}`, remedy: flaw.remedy };
}

/** What `check`, `plan` and `up` find before they touch anything. */
export function checkCertificateFiles(spec: Pick<ClusterSpec, 'proxy'>): Finding[] {
  const tls = tlsFiles(spec);
  const read = tls && readCertificateFiles(tls, new Date());
  if (read === undefined || !('message' in read)) return [];
  const { of, message, remedy } = read;
  const at = ['proxy', 'tls', of];
  const other = ['proxy', 'tls', of === 'key' ? 'certificate' : 'key'];
  return [{ code: 'SPEC_CERTIFICATE', at, restsOn: [other], message, remedy }];
}

/**
 * The key and the certificate in one text, as a host gets them. For this process only: never put it in a result or a log.
 *
 * @throws PerijoveError SPEC_CERTIFICATE
 */
export function readKeyAndCertificates(files: Files): string {
  const read = readCertificateFiles(files, new Date());
  if ('message' in read) {
    throw new PerijoveError('SPEC_CERTIFICATE', `on ${hostname()}: ${read.message}`, {
      file: read.of === 'key' ? files.keyFile : files.certificateFile,
      remedy:
        'Workers read both files at the paths of the spec. Put the files there that `perijove check` accepts.',
    });
  }
  return keyAndCertificates(read.certificate, read.key);
}
