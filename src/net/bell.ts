/** An interruptible pause. A ring outside a pause ends the next one at once. */
export class Bell {
  private rung = false;
  private resume: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.resume?.();
  }

  /** Resolves after `ms`, or at the first ring since the last pause. */
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
