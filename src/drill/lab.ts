/** What only a lab can do to itself. A worker that runs in one has it. */
export interface LabFaults {
  /** Number of live workers. */
  workers(): number;
  /** SIGKILL for a worker, by its identity (`pid@host`); nothing when it has ended. */
  killWorker(identity: string): Promise<void>;
  /** Starts workers until there are as many as the lab should have. */
  provideWorkers(): Promise<void>;
  /** SIGKILL for every process of a host. */
  crashHost(name: string): Promise<void>;
  /** Starts its sshd and its services; does nothing to what runs. */
  bootHost(name: string): Promise<void>;
}
