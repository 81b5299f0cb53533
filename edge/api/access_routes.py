"""The lines of the route table that stand only where callers are asked for a token.

Elsewhere these addresses do not exist: clients take the 404 of ``/api/token`` for "no
authentication here". No endpoint lives here.
"""

from __future__ import annotations

from edge.api import applications, login, people
from edge.api.routing import Route

ACCESS_ROUTES = [
    Route("POST", "/api/token", login.create_token),
    Route("GET", "/api/token/userInfo", login.user_info),
    Route("POST", "/api/v1/view-token", login.create_view_token),
    Route("POST", "/api/applications", applications.create),
    Route("GET", "/api/applications", applications.every),
    Route("GET", "/api/applications/{id}", applications.get),
    Route("PUT", "/api/applications/{id}", applications.rename),
    Route("DELETE", "/api/applications/{id}", applications.remove),
    Route("GET", "/api/applications/key/{key}", applications.of_key),
    Route("GET", "/api/applications/{id}/accessKeys", applications.keys),
    Route("POST", "/api/applications/{id}/accessKeys", applications.create_key),
    Route("DELETE", "/api/applications/{id}/accessKeys/{key}", applications.remove_key),
    Route("POST", "/api/applications/{id}/accessKeys/{key}/status", applications.toggle_key),
    Route("POST", "/api/applications/{id}/roles/{role}", applications.add_role),
    Route("DELETE", "/api/applications/{id}/roles/{role}", applications.remove_role),
    Route("GET", "/api/applications/{id}/tags", applications.tags),
    Route("PUT", "/api/applications/{id}/tags", applications.add_tags),
    Route("DELETE", "/api/applications/{id}/tags", applications.remove_tags),
    Route("GET", "/api/users", people.users),
    Route("GET", "/api/users/{id}", people.user),
    Route("PUT", "/api/users/{id}", people.put_user),
    Route("DELETE", "/api/users/{id}", people.remove_user),
    Route("GET", "/api/users/{id}/permissions", people.user_permissions),
    Route("GET", "/api/users/{id}/checkPermissions", people.check_permissions),
    Route("GET", "/api/groups", people.groups),
    Route("GET", "/api/groups/{id}", people.group),
    Route("PUT", "/api/groups/{id}", people.put_group),
    Route("DELETE", "/api/groups/{id}", people.remove_group),
    Route("GET", "/api/groups/{id}/permissions", people.group_permissions),
    Route("GET", "/api/groups/{id}/users", people.group_users),
    Route("POST", "/api/groups/{id}/users", people.add_members),
    Route("DELETE", "/api/groups/{id}/users", people.remove_members),
    Route("POST", "/api/groups/{id}/users/{user}", people.add_member),
    Route("DELETE", "/api/groups/{id}/users/{user}", people.remove_member),
    Route("GET", "/api/roles", people.roles),
    Route("POST", "/api/roles", people.create_role),
    Route("GET", "/api/roles/system", people.system_roles),
    Route("GET", "/api/roles/custom", people.custom_roles),
    Route("GET", "/api/roles/permissions", people.permissions),
    Route("GET", "/api/roles/{name}", people.role),
    Route("PUT", "/api/roles/{name}", people.update_role),
    Route("DELETE", "/api/roles/{name}", people.remove_role),
    Route("POST", "/api/auth/authorization", people.grant),
    Route("DELETE", "/api/auth/authorization", people.revoke),
    Route("GET", "/api/auth/authorization/{type}/{id}", people.grants),
    Route("GET", "/api/auth/subjects/{type}/{id}/grants", people.subject_grants),
]
"""Keys, and who may do what."""
