import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { runit } from '../../src/hosts/runit.js';
import { systemd } from '../../src/hosts/systemd.js';
import { driverScripts, noConnections, scripts } from '../support/broken/scripts.js';

const sources = path.resolve(import.meta.dirname, '../../src');

/** Functions that call `run` or `exec` of something that may be a connection, as `file#function`. */
function sites(): string[] {
  const found = new Set<string>();
  for (const file of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(path.join(sources, file), 'utf8');
    const visit = (node: ts.Node, within: string) => {
      const name = nameOf(node) ?? within;
      const receiver = receiverOf(node);
      if (receiver !== undefined && !isNoConnection(receiver, file, name)) found.add(`${file}#${name}`);
      ts.forEachChild(node, (child) => visit(child, name));
    };
    visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true), '');
  }
  return [...found].sort();
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) return node.name?.getText();
  const isFunction =
    (ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node)) &&
    node.initializer !== undefined &&
    (ts.isArrowFunction(node.initializer) || ts.isFunctionExpression(node.initializer));
  return isFunction ? node.name.getText() : undefined;
}

function receiverOf(node: ts.Node): ts.Expression | undefined {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined;
  return ['run', 'exec'].includes(node.expression.name.text) ? node.expression.expression : undefined;
}

function isNoConnection(receiver: ts.Expression, file: string, name: string): boolean {
  return (
    ts.isRegularExpressionLiteral(receiver) ||
    ts.isNewExpression(receiver) ||
    noConnections.includes(receiver.getText()) ||
    // ssh2's own client, to a node.
    `${file}#${name}` === 'activities/verify.ts#askForLeader'
  );
}

describe('the list of scripts that run with broken observations', () => {
  it('has every place that sends one, and no other', () => {
    expect(Object.keys(scripts).sort()).toEqual(sites());
  });

  it.each([runit({ dir: '/opt/x' }), systemd({ dir: '/opt/x' }, 'x')])(
    'has every script of the driver of $init',
    (driver) => {
      const names = Object.keys(driver).filter((name) => name.endsWith('Script'));
      expect(Object.keys(driverScripts).sort()).toEqual(names.sort());
    },
  );
});
