"""Where the demo site's pages are."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from demo.views import home
from vestibule_handoff import open_workspace

urlpatterns = [
    path("", home, name="home"),
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("vestibule/open", open_workspace, name="vestibule-open"),
]
