import { Secret } from '@skiff/runtime/secret';

/** A setting of the environment or the command line that cannot be used; the text says which, and what to write instead. */
export class ConfigurationError extends Error {
  readonly code = 'ConfigurationInvalid';
  constructor(message: string) {
    super(message);
    this.name = 'ConfigurationError';
  }
}

/** The environment, read by name and checked. Empty values count as absent. */
export class Environment {
  readonly #values: NodeJS.ProcessEnv;

  constructor(values: NodeJS.ProcessEnv) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name]?.trim();
    return value === undefined || value === '' ? undefined : value;
  }

  secret(name: string): Secret<string> | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : new Secret(value);
  }

  /** @throws {ConfigurationError} */
  integer(name: string, fallback: number, range: { readonly min: number; readonly max: number }): number {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const number = Number(value);
    if (!Number.isInteger(number) || number < range.min || number > range.max) {
      throw new ConfigurationError(`${name} must be a whole number from ${range.min} to ${range.max}, not ${JSON.stringify(value)}`);
    }
    return number;
  }

  /** @throws {ConfigurationError} */
  oneOf<Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Choice {
    const value = this.text(name);
    if (value === undefined) return fallback;
    const choice = choices.find((known) => known === value);
    if (choice === undefined) throw new ConfigurationError(`${name} must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}`);
    return choice;
  }

  /** A list separated by commas. */
  list(name: string): readonly string[] {
    return (this.text(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }
}
