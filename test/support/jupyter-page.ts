import type { BrowserContext, Locator, Page } from 'playwright-core';
import { vi } from 'vitest';

/** JupyterLab in a browser, as its user sees it. Each wait is for something that the page shows. */
export class JupyterPage {
  /** Requests without a response or with an error status. */
  readonly failures: string[] = [];

  private constructor(readonly page: Page) {
    page.on('response', (answer) => {
      if (answer.status() >= 400) this.failures.push(`${answer.status()} ${answer.url()}`);
    });
    page.on('requestfailed', (request) => {
      this.failures.push(`${request.failure()?.errorText} ${request.url()}`);
    });
  }

  static async open(context: BrowserContext, url: string): Promise<JupyterPage> {
    const page = new JupyterPage(await context.newPage());
    await page.page.goto(url);
    return page;
  }

  /**
   * Creates a notebook from the launcher, and saves it under that name; resolves when its kernel is ready.
   */
  async newNotebook(name: string): Promise<void> {
    await this.page.locator('.jp-LauncherCard[data-category="Notebook"]:visible').first().click();
    await this.page.locator('#jp-main-statusbar', { hasText: '| Idle' }).waitFor();
    await this.save();
    const dialog = this.page.locator('.jp-Dialog', { hasText: 'Rename' });
    await dialog.locator('input:not([type="checkbox"])').fill(name);
    await dialog.getByRole('button', { name: 'Rename and Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    await this.page.locator('.lm-TabBar-tabLabel', { hasText: name }).first().waitFor();
  }

  /** JupyterLab has noticed that the notebook's kernel is gone. */
  async kernelLost(): Promise<void> {
    await this.notebook.locator('.jp-NotebookPanel-toolbar', { hasText: 'No Kernel' }).waitFor();
  }

  /** Edits the first cell, without running or saving it. */
  async edit(code: string): Promise<void> {
    await this.cells.first().locator('.cm-content').fill(code);
  }

  /** Runs a cell at the end of the notebook; resolves to its output. */
  async run(code: string): Promise<string> {
    const cell = this.cells.nth((await this.cells.count()) - 1);
    const editor = cell.locator('.cm-content');
    await editor.fill(code);
    const begun = cell.locator('.jp-InputPrompt').filter({ hasText: /[\d*]/ });
    // JupyterLab drops keys typed while it is still connecting the notebook to its kernel.
    await vi.waitFor(
      async () => {
        await editor.press('Shift+Enter');
        await begun.waitFor({ timeout: 5_000 });
      },
      { timeout: 60_000 },
    );
    const output = cell.locator('.jp-OutputArea-output').first();
    await output.waitFor();
    return ((await output.textContent()) ?? '').trim();
  }

  async save(): Promise<void> {
    await this.cells.first().locator('.cm-content').press('Control+s');
  }

  /** Open dialogs. */
  dialogs(): Promise<string[]> {
    return this.page.locator('.jp-Dialog').allTextContents();
  }

  /** Closes dialogs that can be closed, such as the one that the server does not respond. */
  async closeDialogs(): Promise<void> {
    const buttons = this.page.locator('.jp-Dialog button.jp-mod-reject');
    await buttons.evaluateAll((all: readonly { click(): void }[]) => all.forEach((button) => button.click()));
  }

  private get notebook(): Locator {
    return this.page.locator('.jp-NotebookPanel:visible');
  }

  private get cells(): Locator {
    return this.notebook.locator('.jp-Notebook .jp-Cell');
  }
}
