export default function V({ search }: { search: string }) { return <p>{search}</p>; }
