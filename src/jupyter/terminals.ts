/** Names of terminals: through every host, people see those of all nodes. */

/** What the names of a node's terminals begin with. Jupyter takes letters, digits and `_`. */
export function terminalPrefix(node: string): string {
  return `${node}_`;
}

/** The node whose terminal has that name; undefined for a name of another kind. */
export function nodeOfTerminal(name: string): string | undefined {
  return /^(\w+)_\d+$/.exec(name)?.[1];
}
