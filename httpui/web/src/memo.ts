import { Component, createElement, type ComponentType, type VNode } from "preact";

/** memo keeps a component from rendering again while its props are the same. */
export function memo<P extends object>(render: (props: P) => VNode): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([key, value]) => !Object.is(value, now[key]));
    }
    override render() {
      return createElement(render as ComponentType<P>, this.props);
    }
  };
}

/** perObject remembers what make gave for an object as long as the object is there. It must hang on nothing else. */
export function perObject<K extends object, V>(make: (of: K) => V): (of: K) => V {
  const known = new WeakMap<K, V>();
  return (of) => {
    let v = known.get(of);
    if (v === undefined) known.set(of, (v = make(of)));
    return v;
  };
}
