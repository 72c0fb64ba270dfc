/** Workflows of which every workflow task fails, and is tried again: what a busy or a broken worker makes of them. */
const failing = (): never => {
  throw new Error('this worker cannot');
};

export async function deploy(): Promise<void> {
  failing();
}
export async function framework(): Promise<void> {
  failing();
}
export async function host(): Promise<void> {
  failing();
}
export async function keeper(): Promise<void> {
  failing();
}
