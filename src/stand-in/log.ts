import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

const rotateBytes = 16 * 1024 * 1024;

/** Log lines in the format of Mesos (glog), to stderr and to `<log_dir>/<program>.INFO`. */
export class Log {
  #file: string | undefined;

  /** From now on also logs to a file; rotates a large one first. */
  open(directory: string, program: string): void {
    mkdirSync(directory, { recursive: true });
    this.#file = path.join(directory, `${program}.INFO`);
    if ((statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0) > rotateBytes) {
      renameSync(this.#file, `${this.#file}.old`);
    }
  }

  info(message: string): void {
    this.#write('I', message);
  }

  warn(message: string): void {
    this.#write('W', message);
  }

  error(message: string): void {
    this.#write('E', message);
  }

  /** A line without a prefix. */
  plain(message: string): void {
    process.stderr.write(`${message}\n`);
    this.#append(`${message}\n`);
  }

  #write(level: string, message: string): void {
    const now = new Date();
    const two = (value: number) => String(value).padStart(2, '0');
    const day = `${two(now.getUTCMonth() + 1)}${two(now.getUTCDate())}`;
    const time = now.toISOString().slice(11, 23);
    const line = `${level}${day} ${time}000 ${process.pid} stand-in] ${message}\n`;
    process.stderr.write(line);
    this.#append(line);
  }

  #append(line: string): void {
    if (this.#file === undefined) return;
    try {
      appendFileSync(this.#file, line);
    } catch (error) {
      // A full disk must not stop a master; stderr has the line.
      process.stderr.write(`cannot write ${this.#file}: ${String(error)}\n`);
      this.#file = undefined;
    }
  }
}
