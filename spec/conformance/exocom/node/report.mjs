// Runs checks one after the other and prints one line for each.

export class Report {
  failed = 0;

  async check(name, run) {
    try {
      await run();
      console.log(`ok - node: ${name}`);
    } catch (error) {
      this.failed += 1;
      console.log(`not ok - node: ${name}`);
      console.log(String(error.stack ?? error).replace(/^/gm, "    "));
    }
  }
}
