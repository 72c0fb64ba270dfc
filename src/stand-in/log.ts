import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';

const rotateBytes = 16 * 1024 * 1024;

/** Log lines of the form that Mesos (glog) writes, to stderr and to `<log_dir>/<program>.INFO`. */
export class Log {
  #file: string | undefined;

  /** What is logged also goes to a file from here on; one that grew large is set aside first. */
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

  /** A line as it is, without a head. */
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
      // A full disk must not end a master; stderr has the line.
      process.stderr.write(`cannot write ${this.#file}: ${String(error)}\n`);
      this.#file = undefined;
    }
  }
}
