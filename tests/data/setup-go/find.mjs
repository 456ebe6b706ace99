// How actions/setup-go (v7.0, src/installer.ts: findMatch, makeSemver, getInfoFromDist) finds and takes a Go, written
// anew with the packages that it is made of: semver, @actions/http-client, @actions/tool-cache. setup-go itself is in
// no package registry. Words: the base URL, then version words; it prints one JSON line for each.
import os from 'node:os';
import * as httpm from '@actions/http-client';
import * as tc from '@actions/tool-cache';
import semver from 'semver';

const [base, download, ...words] = process.argv.slice(2);
const arch = {x64: 'amd64'}[os.arch()] ?? os.arch();

function toSemver(goVersion) {
  const [number, suffix] = goVersion.replace('go', '').replace('beta', '-beta.').replace('rc', '-rc.').split('-');
  const whole = semver.coerce(number)?.version;
  const valid = suffix ? semver.valid(`${whole}-${suffix}`) : whole;
  if (!valid) throw new Error(`${goVersion} is not semver`);
  return valid;
}

const http = new httpm.HttpClient('setup-go', [], {allowRedirects: true, maxRedirects: 3});
const listed = (await http.getJson(`${base.replace(/\/+$/, '')}/?mode=json&include=all`)).result;

for (const word of words) {
  let found = null;
  for (const each of listed) {
    const file = semver.satisfies(toSemver(each.version), word)
      ? each.files.find(file => file.arch === arch && file.os === os.platform())
      : undefined;
    if (file) {
      found = {version: each.version, url: `${base}/${file.filename}`};
      break;
    }
  }
  if (found && download === 'download') {
    found.root = await tc.extractTar(await tc.downloadTool(found.url));
  }
  console.log(JSON.stringify(found));
}
