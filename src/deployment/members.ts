/** One host's part of a service that several hosts make up. */
export interface ServiceMember {
  /** Name of the host. */
  readonly host: string;
  /**
   * As it serves now; `down` also when it runs and does not serve. `unknown`: nobody could tell, so it may serve; that
   * it did not answer from here is no proof.
   */
  readonly state: 'down' | 'up' | 'leading' | 'unknown';
}
