#!/usr/bin/env node
import { main } from '../dist/cli/main.js';

process.exitCode = await main(process.argv.slice(2));
// What a command gave up, such as an attempt to connect, does not hold the process.
setTimeout(() => process.exit(), 200).unref();
