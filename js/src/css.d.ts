// A stylesheet with all its imports, as text.
declare module "*.css?inline" {
  const text: string;
  export default text;
}
