/** One host's member of a service that runs on several hosts. */
export interface ServiceMember {
  /** Name of the host. */
  readonly host: string;
  /**
   * Its current state. `down` includes a running member that does not serve. `unknown`: the state could not
   * be determined, so the member may be serving; a missing response is no proof that it is down.
   */
  readonly state: 'down' | 'up' | 'leading' | 'unknown';
}
