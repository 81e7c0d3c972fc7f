export { TunnelKubeConfig, type TunnelKubeConfigOptions } from './tunnel-kube-config.js';
