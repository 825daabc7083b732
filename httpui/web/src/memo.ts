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
