// Whose address was asked: an application has an alias of the function for its own, and so the URL's.

/** The prompts of the application whose alias was invoked; null where none was: the address is for every prompt. */
export function applicationOf(context, applications) {
  const alias = context.invokedFunctionArn.split(":")[7];
  if (alias === undefined) return null;
  return Object.hasOwn(applications, alias) ? applications[alias] : [];
}
