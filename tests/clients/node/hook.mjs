export async function resolve(specifier, context, next) {
  if (specifier === 'fs' && context.parentURL?.includes('conformance')) return next(new URL('./fs-with-glob.mjs', import.meta.url).href, context);
  return next(specifier, context);
}
