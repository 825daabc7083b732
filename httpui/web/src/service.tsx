// A service's name with its colour. The name always stands beside the colour or
// in its tooltip: colour alone says nothing.

export function ServiceChip({ name, colour }: { name: string; colour: number }) {
  return (
    <span class={`service svc-${colour}`} title={`service ${name}`}>
      {name || "(no service name)"}
    </span>
  );
}
