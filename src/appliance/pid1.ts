export async function bootAppliance(): Promise<number> {
  return 1;
}
