/** Faults possible only in a lab. Available to a worker that runs in one. */
export interface LabFaults {
  /** Number of live workers. */
  workers(): number;
  /** SIGKILLs a worker by its identity (`pid@host`); does nothing if it has ended. */
  killWorker(identity: string): Promise<void>;
  /** Starts workers until the lab has its usual number. */
  provideWorkers(): Promise<void>;
  /** SIGKILLs every process of a host. */
  crashHost(name: string): Promise<void>;
  /** Starts its sshd and services; leaves running ones alone. */
  bootHost(name: string): Promise<void>;
}
