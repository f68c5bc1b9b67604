// A stylesheet, with all that it imports, as text.
declare module "*.css?inline" {
  const text: string;
  export default text;
}
