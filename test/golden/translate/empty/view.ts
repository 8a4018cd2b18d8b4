import { inboundView, outboundView } from '#test/support/views.ts';

/** A pod of no service in a mesh of no service: an outbound listener that closes what it is given, and nothing else. */
export const view = { outbound: outboundView(), inbound: inboundView() };

export const endpoints = [];
