/** Pauses that can be cut short. A ring that comes while nobody pauses cuts the next pause. */
export class Bell {
  private rung = false;
  private resume: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.resume?.();
  }

  /** Resolves after `ms`, or when it was rung since it last did. */
  async pause(ms: number): Promise<void> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.resume = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.rung = false;
    this.resume = undefined;
  }
}
