/** MeshConfig specs at the very edge of what the rules allow: held, like the bad ones, against parsers and API server. */
export const borderSpecs: Readonly<Record<string, unknown>> = {
  'TLS 1.0 as the minimum': { sidecar: { tlsMinProtocolVersion: 'TLSv1_0', tlsMaxProtocolVersion: 'TLSv1_2' } },
  'one TLS version': { sidecar: { tlsMinProtocolVersion: 'TLSv1_3', tlsMaxProtocolVersion: 'TLSv1_3' } },
  'a maximum that Envoy chooses': { sidecar: { tlsMinProtocolVersion: 'TLSv1_3', tlsMaxProtocolVersion: 'TLS_AUTO' } },
  'a minimum that Envoy chooses': { sidecar: { tlsMinProtocolVersion: 'TLS_AUTO' } },
  'connections of ten seconds': { sidecar: { maxConnectionDuration: '10s' } },
  'connections without end': { sidecar: { maxConnectionDuration: '0s' } },
  'certificates for a minute': { certificate: { serviceCertValidityDuration: '59.5s500ms' } },
  'an authorization service that is off and unknown': { traffic: { inboundExternalAuthorization: { enable: false } } },
  'a key size that OSM would have replaced': { certificate: { certKeyBitSize: 1024 } },
  'parts that are commented out': { sidecar: null, traffic: null },
};
